const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h16",
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5m-6 6 6-6 6 6",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h10v11H9zM15 9V5H5v11h4",
  check: "m5 12 5 5 9-10",
  more: "M5 11.4a.6.6 0 1 0 .01 0zM12 11.4a.6.6 0 1 0 .01 0zM19 11.4a.6.6 0 1 0 .01 0z",
  down: "M12 5v14m-6-6 6 6 6-6",
  close: "m6 6 12 12M18 6 6 18",
  retry: "M4 12a8 8 0 1 0 2.5-5.8M4 4v5h5",
  tool: "M14.5 6.5a4 4 0 0 0-5 5L4 17l3 3 5.5-5.5a4 4 0 0 0 5-5L15 12l-3-3z",
  attach: "m19 11-7.5 7.5a4.5 4.5 0 0 1-6.4-6.4L13 4.3a3 3 0 0 1 4.3 4.2l-7.9 7.9a1.4 1.4 0 0 1-2-2L14 8",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
  info: "M12 11v6M12 7.5v.01M12 3a9 9 0 1 0 .01 0z",
  up: "M12 19V5m-6 6 6-6 6 6",
  search: "M11 4a7 7 0 1 0 .01 0zM16 16l5 5",
  left: "m14 6-6 6 6 6",
  right: "m10 6 6 6-6 6",
  edit: "M4 20h4L19 9l-4-4L4 16z",
  fork: "M6 4v6a4 4 0 0 0 4 4h8M6 4 3.500 6.500M6 4l2.500 2.500M15 11l3 3-3 3M6 20v-6",
  thought: "M12 4a6 6 0 0 1 3 11v2H9v-2a6 6 0 0 1 3-11zM10 20h4",
} as const;

export type IconName = keyof typeof PATHS;

/** A picture beside words or a label; it has no meaning by itself. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path className="logo-wood" d="M8 5h16M8 27h16" />
      <path className="logo-thread" d="m10 12 12-2M10 16.5l12-2M10 21l12-2M22 23.5l6 1.5" />
    </svg>
  );
}
