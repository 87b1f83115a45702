// Nothing: what starting the runtime itself takes.
export default { fetch: () => new Response("ok") };
