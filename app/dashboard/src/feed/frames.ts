/**
 * Frames: reads a text/event-stream as the platform's EventSource does, for streams that are opened by `fetch`.
 *
 * Invariant: however the bytes are cut, the events are the same. What is not ended by a blank line is no event. It leaves
 * out `retry`: when to come back is the stream's to say.
 */
import type { SourceEvent } from './environment';

export interface FrameEvent extends SourceEvent {
  /** "message" unless the frame names another. */
  type: string;
}

export class Frames {
  /** The id of the last frame, even of one without data. */
  lastEventId = '';
  #id = '';
  #type = '';
  #data: string[] = [];
  #line = '';
  /** The text ended with CR: a LF that comes first belongs to it. */
  #afterReturn = false;
  readonly #decoder = new TextDecoder(); // drops the first byte order mark, and only that
  readonly #heard: (event: FrameEvent) => void;

  constructor(heard: (event: FrameEvent) => void) {
    this.#heard = heard;
  }

  push(bytes: Uint8Array): void {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === '') return;
    if (this.#afterReturn && text.startsWith('\n')) text = text.slice(1);
    this.#afterReturn = text.endsWith('\r');
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop() ?? '';
    for (const line of lines) this.#take(line);
  }

  #take(line: string): void {
    if (line === '') return this.#end();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
  }

  #end(): void {
    const [type, data] = [this.#type || 'message', this.#data];
    this.#type = '';
    this.#data = [];
    this.lastEventId = this.#id;
    if (data.length > 0) this.#heard({ type, data: data.join('\n'), lastEventId: this.#id });
  }
}
