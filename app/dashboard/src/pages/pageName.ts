/** The pages, by name; `unknown` is an address that names none. */
export type PageName =
  | 'dashboard'
  | 'live'
  | 'sessions'
  | 'session'
  | 'alerts'
  | 'system'
  | 'login'
  | 'setup'
  | 'account'
  | 'admin'
  | 'kiosk'
  | 'unknown';
