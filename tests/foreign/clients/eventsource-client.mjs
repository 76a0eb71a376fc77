// npm eventsource-client: no EventSource, an iterator; it comes back by itself.
import { createEventSource } from 'eventsource-client';

for await (const { data } of createEventSource(process.argv[2])) console.log(data);
