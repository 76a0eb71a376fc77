import { expect, test } from 'vitest';
import type { Environment } from '../src/feed/environment';
import { Feed } from '../src/feed/feed';
import { chance } from './chance';
import { World } from './world';

test('a list without a cursor is an error that says so', async () => {
  const environment: Environment = new World(chance(1)).openTab();
  environment.getJson = async () => ({ body: { items: [], next: null }, cursor: null });
  const read = new Feed(environment).read('/api/sessions', new AbortController().signal);
  await expect(read).rejects.toThrow('/api/sessions answered without a cursor in Last-Event-ID');
});
