// The behaviour of each client in `bench/soak.mjs`, as k6 runs it: it folds its frames, and compares each end with the
// folded state.
import http from "k6/http";
import { Counter, Trend } from "k6/metrics";
import { setTimeout } from "k6/timers";
import { WebSocket } from "k6/experimental/websockets";

const { BASE, SOCKETS, THREADS, SECONDS, THINK_S } = __ENV;
const [SECOND_MS, OPEN] = [1000, 1];
/** Nothing new is started this long before the end, so that every turn can end. */
const QUIET_S = 60;
/** Hundreds of turns are cancelled at once then: their ends may take this long to arrive. */
const ENDING_S = 60;
/** What a client remembers of its last frames, to be told when something is wrong. */
const REMEMBERED = 60;
const MINUTES = Math.ceil(Number(SECONDS) / 60);

const counters = Object.fromEntries(["sent", "ended", "cut", "joined", "cancelled", "decided", "uploaded", "edited", "regenerated", "refused", "different", "doubled", "stuck", "closed", "unheard"].map((name) => [name, new Counter(name)]));
const joinMs = new Trend("join_ms", true);
const firstMs = new Trend("first_ms", true);

const perMinute = (name) => Array.from({ length: MINUTES }, (_, minute) => [`${name}{minute:${minute}}`, ["p(99)>=0"]]);

export const options = {
  scenarios: { clients: { executor: "per-vu-iterations", vus: Number(SOCKETS), iterations: 1, maxDuration: `${Number(SECONDS) + 120}s` } },
  summaryTrendStats: ["med", "p(99)", "max", "count"],
  // Each of these makes k6 keep the minute's figures apart; all of them always hold.
  thresholds: Object.fromEntries([...perMinute("join_ms"), ...perMinute("first_ms")]),
};

export default function () {
  const endsAt = Date.now() + Number(SECONDS) * SECOND_MS;
  // Clients do not start all at once: a second for every 100 of them.
  setTimeout(() => new Client(endsAt).connect(), (__VU / 100) * SECOND_MS);
}

class Client {
  constructor(endsAt) {
    this.endsAt = endsAt;
    this.beganAt = Date.now();
    this.session = `soak-${__VU % Number(THREADS)}`;
    this.count = 0;
    this.cursor = null;
    this.isNew = false;
    this.running = new Map();
    this.ended = new Map();
    this.own = new Map();
    this.lastOwn = null;
    this.last = [];
  }

  remember(what) {
    this.last.push(`${Date.now()} ${what}`);
    if (this.last.length > REMEMBERED) this.last.shift();
  }

  get minute() {
    return { minute: String(Math.floor((Date.now() - this.beganAt) / 60000)) };
  }

  connect() {
    const at = Date.now();
    if (this.isNew) {
      // A client without a cursor holds nothing: cut off before the snapshot, it is sent everything from the beginning.
      [this.cursor, this.isNew, this.running, this.ended] = [null, false, new Map(), new Map()];
    }
    const socket = new WebSocket(`${BASE.replace("http", "ws")}/sessions/${this.session}/websocket${this.cursor ? `?cursor=${this.cursor}` : ""}`);
    this.socket = socket;
    this.isCut = false;
    this.remember(`connects with ${this.cursor}`);
    let isHeard = true;
    let isFirst = true;
    socket.addEventListener("message", ({ data }) => {
      if (this.socket !== socket || !isHeard) return;
      const frame = JSON.parse(data);
      if (frame.type === "connected") joinMs.add(Date.now() - at, this.minute);
      // k6 drops frames that it has read before it calls the listeners of `open`. Such a connection is of no use.
      else if (isFirst) {
        isHeard = false;
        counters.unheard.add(1);
        return this.cut();
      }
      isFirst = false;
      this.take(frame);
    });
    socket.addEventListener("close", () => {
      if (this.socket !== socket) return;
      this.remember(`closed, ${this.isCut ? "cut" : "not cut"}`);
      if (!this.isCut) counters.closed.add(1);
      if (Date.now() < this.endsAt) setTimeout(() => this.connect(), Math.random() * 3 * SECOND_MS);
    });
    socket.addEventListener("error", () => {});
    if (!this.isActing) {
      this.isActing = true;
      this.later();
    }
  }

  later() {
    const wait = -Math.log(1 - Math.random()) * Number(THINK_S) * SECOND_MS;
    const left = this.endsAt - Date.now();
    if (left < QUIET_S * SECOND_MS + wait) return setTimeout(() => this.stop(), Math.max(0, left));
    setTimeout(() => {
      if (this.socket.readyState === OPEN) this.act(Math.random());
      this.later();
    }, wait);
  }

  act(chance) {
    if (chance < 0.5) return this.say(`words ${5 + Math.floor(Math.random() * 30)}`);
    if (chance < 0.6) return this.say(`ask ${3 + Math.floor(Math.random() * 10)}`);
    if (chance < 0.65) return this.upload();
    if (chance < 0.72) return this.cancel();
    if (chance < 0.77 && this.lastOwn) return this.edit();
    if (chance < 0.82 && this.lastOwn) return this.regenerate();
    if (chance < 0.95) return this.cut();
    this.isNew = true;
    counters.joined.add(1);
    this.cut();
  }

  send(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  begin() {
    this.count += 1;
    const requestId = `v${__VU}-${this.count}`;
    this.own.set(requestId, Date.now());
    counters.sent.add(1);
    return requestId;
  }

  say(content) {
    this.send({ type: "message", requestId: this.begin(), content });
  }

  edit() {
    counters.edited.add(1);
    this.send({ type: "message", requestId: this.begin(), content: "words 6", replaces: this.lastOwn });
  }

  regenerate() {
    counters.regenerated.add(1);
    this.send({ type: "regenerate", requestId: this.begin(), of: this.lastOwn });
  }

  upload() {
    const { status, body } = http.post(`${BASE}/sessions/${this.session}/files?name=a.txt`, "x".repeat(50000), { headers: { "content-type": "text/plain" } });
    if (status !== 201) return counters.refused.add(1);
    counters.uploaded.add(1);
    const { url, mediaType, name, size } = JSON.parse(body);
    this.send({ type: "message", requestId: this.begin(), content: [{ type: "text", text: "words 3" }, { type: "file", url, mediaType, name, size }] });
  }

  cancel() {
    const [requestId] = this.own.keys();
    if (requestId === undefined) return;
    counters.cancelled.add(1);
    this.send({ type: "cancel", requestId });
  }

  cut() {
    counters.cut.add(1);
    this.isCut = true;
    this.socket.close();
  }

  take(frame) {
    if (frame.cursor) this.cursor = frame.cursor;
    const { type, requestId = "", cursor = "", resumed = "", reason = "", inFlight = [] } = frame;
    this.remember(`${type} ${requestId} ${cursor} ${resumed}${reason} ${inFlight.map((turn) => `${turn.requestId}:${turn.content === undefined ? "" : textOf(turn.content).length}`)}`);
    switch (frame.type) {
      case "check":
        return this.send(frame);
      case "snapshot":
        this.running = new Map(frame.inFlight.map(({ requestId, content }) => [requestId, textOf(content)]));
        this.ended = new Map();
        // A turn that is not running is over, or never arrived: another version may have taken its place.
        for (const requestId of [...this.own.keys()]) if (!this.running.has(requestId) && this.own.delete(requestId)) counters.ended.add(1);
        return;
      case "user_message":
      case "branch":
        if (frame.requestId && !this.ended.has(frame.requestId)) this.running.set(frame.requestId, this.running.get(frame.requestId) || "");
        if (frame.type === "user_message" && this.own.has(frame.requestId)) this.lastOwn = frame.requestId;
        return;
      case "token": {
        const began = this.own.get(frame.requestId);
        if (began && this.running.get(frame.requestId) === "") firstMs.add(Date.now() - began, this.minute);
        return void this.running.set(frame.requestId, (this.running.get(frame.requestId) || "") + frame.token);
      }
      case "waiting":
        return void setTimeout(() => this.decide(frame), (1 + Math.random() * 4) * SECOND_MS);
      case "final":
      case "cancelled":
        return this.end(frame);
      case "error":
        if (frame.cursor) return this.end(frame);
        counters.refused.add(1);
        return void this.own.delete(frame.requestId);
    }
  }

  /** Any client may decide: the first decision counts. */
  decide({ requestId, toolUseIds }) {
    if (this.socket.readyState !== OPEN || Math.random() < 0.5) return;
    for (const toolUseId of toolUseIds) {
      counters.decided.add(1);
      this.send({ type: "tool_decision", requestId, toolUseId, approved: Math.random() < 0.7 });
    }
  }

  end({ requestId, response }) {
    const folded = this.running.get(requestId);
    if (folded === undefined && this.ended.has(requestId)) counters.doubled.add(1);
    else if (folded !== undefined && folded !== textOf(response.content)) {
      counters.different.add(1);
      console.error(`${requestId}: folded ${folded.length} characters, and its end has ${textOf(response.content).length}; before:\n${this.last.join("\n")}`);
    }
    this.running.delete(requestId);
    this.ended.set(requestId, true);
    if (this.own.delete(requestId)) counters.ended.add(1);
  }

  stop() {
    // Turns that wait for somebody are cancelled; the others have had time.
    for (const requestId of this.own.keys()) this.send({ type: "cancel", requestId });
    setTimeout(() => {
      if (this.own.size > 0) {
        counters.stuck.add(this.own.size);
        console.error(`${this.session}: without an end: ${[...this.own.keys()]}`);
      }
      this.isCut = true;
      this.socket.close();
    }, ENDING_S * SECOND_MS);
  }
}

function textOf(content) {
  return typeof content === "string" ? content : content.filter(({ type }) => type === "text").map(({ text }) => text).join("");
}
