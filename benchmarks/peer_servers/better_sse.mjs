// The peer from Node: pg listens, better-sse sends. node better_sse.mjs PORT DATABASE_URL
// Its serializer is the identity: the payload is JSON already, and is sent as it came.
import { createServer } from "node:http";
import pg from "pg";
import { createChannel, createSession } from "better-sse";

const [port, database] = process.argv.slice(2);
const options = { serializer: (text) => text };
const channels = new Map();

function channelOf(key) {
    if (!channels.has(key)) channels.set(key, createChannel());
    return channels.get(key);
}

const listener = new pg.Client({ connectionString: database });
await listener.connect();
listener.on("notification", ({ payload }) => {
    const change = JSON.parse(payload).data;
    channels.get("all")?.broadcast(payload, undefined, { eventId: String(change.id) });
    channels.get(change.data.session_id)?.broadcast(payload, undefined, { eventId: String(change.id) });
});
await listener.query("listen peer");

createServer(async (request, response) => {
    const session = await createSession(request, response, options);
    channelOf(new URL(request.url, "http://x").searchParams.get("session") ?? "all").register(session);
}).listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 });
