// Bobbin's own worker: variables in wrangler.toml choose the model.
export { SessionDO, default } from "bobbin";
