// An empty worker: the cost of starting the runtime itself.
export default { fetch: () => new Response("ok") };
