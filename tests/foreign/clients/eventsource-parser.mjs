// npm eventsource-parser: a parser only; the loop around it is what anyone would write.
import { setTimeout } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';

let cursor;
let wait = 1000;
for (;;) {
  const parser = createParser({
    onEvent({ id, data }) {
      cursor = id ?? cursor;
      console.log(data);
    },
    onRetry: (milliseconds) => (wait = milliseconds),
  });
  try {
    const { body } = await fetch(process.argv[2], { headers: cursor ? { 'Last-Event-ID': cursor } : {} });
    for await (const text of body.pipeThrough(new TextDecoderStream())) parser.feed(text);
  } catch {
    // cut, or refused
  }
  await setTimeout(wait);
}
