/** Longer texts are cut: a stack is of use, a client's novel is not. */
const MOST_CHARS = 4000;
/** Shorter secrets are not looked for: they would be found everywhere. */
const LEAST_SECRET_CHARS = 4;
const HIDDEN = '…';

/** What looks like a secret, whoever wrote it into an error's message, and what is left of it. */
const PATTERNS: readonly [RegExp, string][] = [
  [/-----BEGIN [A-Z ]*KEY-----[\s\S]*?(-----END [A-Z ]*KEY-----|$)/g, HIDDEN],
  // Name and password of an address; see withoutPassword() of the stores, which does the same to a whole setting.
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s"'/]*@/gi, `$1${HIDDEN}@`],
  // JSON Web Tokens, whole or cut off, and other credentials of HTTP.
  [/\beyJ[\w-]{5,}(\.[\w-]*){0,4}/g, HIDDEN],
  [/\b(bearer|basic)[ .]+[\w.~+/=-]{8,}/gi, `$1 ${HIDDEN}`],
  // Values that are named as secret: in a query, in JSON, in a header. The short names are those of private JWKs.
  [/("(?:d|k|p|q|dp|dq|qi)"\s*:\s*")[^"]*/g, `$1${HIDDEN}`],
  [
    /((?:password|passwd|secret|token|authorization|api[-_]?key|cookie)["']?\s*[=:]\s*["']?)(?!(?:bearer|basic) …)[^\s"'&,;]+/gi,
    `$1${HIDDEN}`,
  ],
];

/** Everything but tab and newline that moves a terminal's cursor or hides what stands there. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/** Returns a function that takes out of a text the given secrets, what looks like one, control characters, and what is too long. */
export function redactor(secrets: readonly string[] = []): (text: string) => string {
  const known = secrets.filter((secret) => secret.length >= LEAST_SECRET_CHARS);
  return (text) => {
    let clean = text;
    for (const secret of known) clean = clean.replaceAll(secret, HIDDEN);
    for (const [pattern, left] of PATTERNS) clean = clean.replace(pattern, left);
    if (clean.length > MOST_CHARS) clean = `${clean.slice(0, MOST_CHARS)}${HIDDEN}`;
    return clean.replace(CONTROL, '\ufffd');
  };
}
