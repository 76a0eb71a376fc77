import { expect, test } from 'vitest';
import { shownSource } from '../src/feed/rows';

test.each([
  ['rtsp://user:pa:ss@camera-1:554/stream?a=b', 'rtsp://***@camera-1:554/stream?a=b'],
  ['rtsp://user:pa/s?s@camera-1/stream', 'rtsp://***@camera-1/stream'],
  ['user:pass@camera-1/stream', '***@camera-1/stream'],
  ['http://camera-1/video?USER=me&pwd=mine&fps=5', 'http://camera-1/video?USER=***&pwd=***&fps=5'],
  ['rtsp://user:p@ss@camera-1/stream', 'rtsp://***@camera-1/stream'],
  ['http://token@10.0.0.5', 'http://***@10.0.0.5'],
  ['rtsp://camera-1/stream@2', 'rtsp://camera-1/stream@2'],
  ['door@2.mp4', 'door@2.mp4'],
  [null, null],
])('the source %s is shown as %s', (input_source, shown) => {
  expect(shownSource({ input_source })).toBe(shown);
});
