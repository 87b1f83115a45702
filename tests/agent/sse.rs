use bobbin::agent::sse;

#[test]
fn server_sent_events_are_parsed_as_in_the_html_standard() {
    let cases: &[(&[u8], &[&str])] = &[
        (b"", &[]),
        (b"data: one\n\ndata: two\n\n", &["one", "two"]),
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", &["YHOO\n+2\n10"]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            &["first event", "second event", " third event"],
        ),
        (b"data\n\ndata\ndata\n\n", &["", "\n"]),
        (b"data:test\n\ndata: test\n\n", &["test", "test"]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", &["a", "b", "c"]),
        (b"data: a\rdata: b\r\ndata: c\n\n", &["a\nb\nc"]),
        (b"\xef\xbb\xbfdata: a\n\n", &["a"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", &["b"]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", &["a"]),
        (b"database: a\n\nDATA: b\n\n data: c\n\ndata : d\n\n", &[]),
        (b"event: error\nretry: 5\n\n", &[]),
        (b"error: {\"code\":1}\n\nerrors: x\n\n", &["{\"code\":1}"]),
        (b"data: a\n\n{\"code\":1}\n\ndata: b\n\n", &["a", "{\"code\":1}", "b"]),
        (b"data: a:b\n\n", &["a:b"]),
        (b"\n\n\n\r\r\n", &[]),
        ("data: grüße 👋\n\n".as_bytes(), &["grüße 👋"]),
        (b"data: \xf0\x9f\x91\n\ndata: \xff\n\n", &["\u{fffd}", "\u{fffd}"]),
        (b"data: a\n\ndata: the end", &["a", "the end"]),
        (b"data: a\n\ndata: the\ndata: end\n", &["a", "the\nend"]),
        (b"data: a\n\ndata: b\r", &["a", "b"]),
        (b"data: a\n\ndat", &["a"]),
    ];
    for (bytes, expected) in cases {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(events_of(&[bytes]), Ok(owned(expected)), "{shown:?} whole");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(events_of(&single), Ok(owned(expected)), "{shown:?} byte by byte");
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(events_of(&[head, b"", tail]), Ok(owned(expected)), "{shown:?} cut at {cut}");
        }
    }
}

#[test]
fn a_line_may_be_as_long_as_the_limit_and_no_longer_however_it_is_cut() {
    let mut line = b"data:".to_vec();
    line.resize(sse::EVENT_BYTES_MAX, b'x');
    let ended = [&line[..], b"\n\n"].concat();
    let longer = [&line[..], b"x\n\n"].concat();
    for size in [usize::MAX, 65_536, 4_097] {
        let events = events_of(&ended.chunks(size).collect::<Vec<_>>());
        assert_eq!(events.map(|events| events[0].len()), Ok(sse::EVENT_BYTES_MAX - 5));
        assert_eq!(events_of(&longer.chunks(size).collect::<Vec<_>>()), Err(sse::TooLong));
    }
}

#[test]
fn an_event_of_many_lines_may_be_as_long_as_the_limit_and_no_longer() {
    let mut line = b"data:".to_vec();
    line.resize(line.len() + sse::EVENT_BYTES_MAX / 2, b'x');
    let body = [&line[..], b"\n", &line[..line.len() - 1], b"\n\n"].concat();
    assert_eq!(events_of(&[&body]).map(|events| events[0].len()), Ok(sse::EVENT_BYTES_MAX));
    let body = [&line[..], b"\n", &line, b"\n\n"].concat();
    assert_eq!(events_of(&[&body]), Err(sse::TooLong));
}

#[test]
fn a_parser_that_has_stopped_reports_it_at_every_later_call() {
    let mut parser = sse::Parser::default();
    let long = vec![b'x'; sse::EVENT_BYTES_MAX + 1];
    assert_eq!(parser.push(&long, &mut |_| ()), Err(sse::TooLong));
    assert_eq!(
        parser.push(b"\n\ndata: a\n\n", &mut |_| panic!("an event after the stop")),
        Err(sse::TooLong)
    );
    assert_eq!(parser.finish(&mut |_| panic!("an event after the stop")), Err(sse::TooLong));
}

fn events_of(pushes: &[&[u8]]) -> Result<Vec<String>, sse::TooLong> {
    let mut parser = sse::Parser::default();
    let mut events = Vec::new();
    for bytes in pushes {
        parser.push(bytes, &mut |data| events.push(data.to_owned()))?;
    }
    parser.finish(&mut |data| events.push(data.to_owned()))?;
    Ok(events)
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}
