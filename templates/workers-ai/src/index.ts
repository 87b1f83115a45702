// Bobbin's own worker: variables in wrangler.toml say which model answers.
export { SessionDO, default } from "bobbin";
