/** What a refusal means to who reads it: a sentence of ours where we know better than the server's English. */
import { RequestError } from '../feed/environment';
import type { Key, Words } from './language';

/** `ours` are the sentences of statuses, such as 409, that mean something else in each place. */
export function sentenceOf(error: unknown, { t, span }: Words, ours: Readonly<Record<number, Key>> = {}): string {
  if (!(error instanceof RequestError)) {
    if (!(error instanceof Error) || error.name === 'TypeError') return t('The server cannot be reached.'); // of fetch
    return error.message === 'database_unavailable' ? t('Database unavailable') : error.message;
  }
  if (error.status === 429)
    return t('Too many attempts. Try again in {time}.', { time: span((error.retryAfter ?? 1) * 1000) });
  if (error.status === 422 && isOfPassword(error))
    return t('This password is too short, or one of the commonest. Take another.');
  const own = ours[error.status];
  if (own) return t(own);
  if (error.status >= 500) return t('The server cannot answer now. Try again in a moment.');
  return error.message;
}

function isOfPassword({ problem }: RequestError): boolean {
  const { errors } = (problem ?? {}) as { errors?: { field: string }[] };
  return errors?.some(({ field }) => field === 'password' || field === 'new_password') ?? false;
}

/** Do it; if it is refused, throw the sentence. For dialogs. */
export async function explained<R>(
  task: Promise<R>,
  words: Words,
  ours: Readonly<Record<number, Key>> = {},
): Promise<R> {
  try {
    return await task;
  } catch (error) {
    throw new Error(sentenceOf(error, words, ours), { cause: error });
  }
}
