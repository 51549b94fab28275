/** The subprotocol that a client may offer, and the only one that the server answers with. */
export const SUBPROTOCOL = 'holdfast.v1';
/** In front of a token in the list of subprotocols: a page's script can set no other header of a WebSocket. */
const TOKEN_PROTOCOL = 'holdfast.token.';
/** Parameters of an address in which other servers take tokens. Addresses end up in logs, histories and Referer headers. */
const IN_URL = ['token', 'access_token'];

/** What a request's headers say about who asks. */
export interface Credentials {
  readonly token: string | undefined;
  /** Whether the token is of the Authorization header, which a page cannot set. */
  readonly byProgram: boolean;
  /** The subprotocol to answer with; empty for none. */
  readonly subprotocol: string;
  /** Why the request is no good, as a sentence without an end; undefined when it is. */
  readonly problem: string | undefined;
}

/** Reads the token of an upgrade: from `Authorization: Bearer` or from the list of subprotocols, and never from the address. */
export function credentialsOf(authorization: string, protocols: string, query: string): Credentials {
  const offered = protocols.split(',').map((protocol) => protocol.trim());
  const subprotocol = offered.includes(SUBPROTOCOL) ? SUBPROTOCOL : '';
  const tokens = offered.filter((protocol) => protocol.startsWith(TOKEN_PROTOCOL));
  const inHeader = bearerOf(authorization);
  const refused = (problem: string): Credentials => ({
    token: undefined,
    byProgram: false,
    subprotocol,
    problem,
  });
  const inUrl = tokenInUrl(query);
  if (inUrl !== undefined) return refused(inUrl);
  if (tokens.length + (inHeader === undefined ? 0 : 1) > 1) return refused('it brings more than one token');
  if (tokens.length === 1 && subprotocol === '') {
    return refused(
      `a token in Sec-WebSocket-Protocol goes with ${SUBPROTOCOL}, which is what the server answers with`,
    );
  }
  return {
    token: inHeader ?? tokens[0]?.slice(TOKEN_PROTOCOL.length),
    byProgram: inHeader !== undefined,
    subprotocol,
    problem: undefined,
  };
}

/** The token of an Authorization header; undefined when there is none, or it is of another scheme. */
export function bearerOf(authorization: string): string | undefined {
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1];
}

/** What is wrong with a query that has a token in it; undefined when there is none. */
export function tokenInUrl(query: string): string | undefined {
  if (query === '') return undefined;
  const parameters = new URLSearchParams(query);
  const name = IN_URL.find((one) => parameters.has(one));
  return name === undefined
    ? undefined
    : `the address has a token in it (${name}=…), and addresses are kept in logs: take a new token, and send it in the Authorization header, in Sec-WebSocket-Protocol or by AUTH`;
}

/** What `www-authenticate` says to a request whose token does not do (RFC 6750, section 3). */
export function challenge(why: string): string {
  // Quoted text of a header: no quotes, backslashes or anything that is not plain ASCII.
  return `Bearer error="invalid_token", error_description="${why.replace(/[^ !#-[\]-~]/g, "'")}"`;
}
