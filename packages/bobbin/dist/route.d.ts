/** Who calls, as the application knows it. */
export interface Caller {
    subject: string;
    /** What the caller may do in `sessions`, beside what is theirs. */
    role?: "viewer" | "editor" | "owner";
    /** Ids of sessions, or `*`. Without it, a role holds for all. */
    sessions?: string[];
    /** When this stops to hold. */
    expiresAt?: Date | number;
}
export interface Options {
    /** Called once a request, in place of a JSON Web Token. `null` lets nobody in. */
    authorize?: (request: Request) => Caller | null | Promise<Caller | null>;
    /** The name of the Durable Object's binding; not needed where there is only one. */
    binding?: string;
}
/** The answer to a request of Bobbin's clients; `null` for any other. */
export declare function routeThreadRequest(request: Request, env: object, ctx: unknown, options?: Options): Promise<Response | null>;
