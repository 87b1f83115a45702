/** What is not needed at once, in one script. It is loaded once the page stands, and so is there when the connection is bad. */
export const loadLater = () => import("./later_parts.ts");
