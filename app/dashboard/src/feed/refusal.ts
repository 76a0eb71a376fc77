/** Refusal: what the server says to a request of somebody who is not signed in. */
import { RequestError } from './environment';

const REASONS = ['login_required', 'access_ended', 'setup_required'] as const;
/** Why nobody is signed in: not yet, no longer, or because no user exists. */
export type Reason = (typeof REASONS)[number];

/** Why a request was refused, if it takes signing in; null if anything else went wrong. */
export function signedOutBy(error: unknown): Reason | null {
  if (!(error instanceof RequestError) || error.status !== 401 || error.reason === 'wrong_credentials') return null;
  return REASONS.find((reason) => reason === error.reason) ?? 'login_required';
}
