/** What the application is told of a turn, and what it may give for it. */
/** An error whose message is meant for whoever asked. What else is thrown goes to the log alone. */
export class PublicError extends Error {
    name = "PublicError";
}
