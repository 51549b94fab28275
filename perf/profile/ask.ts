import type { ProfileKind, ProfileReport } from '../../src/profile/profile-report.ts';

/** A profile is answered when its window is over; so much later something is wrong. */
const LATE_MS = 60_000;

/** Has a running server measured for some seconds; one with authentication by a token of the scope `admin`. Rejects with what the server says when it does not. */
export async function askForProfile<Kind extends ProfileKind>(
  httpUrl: string,
  kind: Kind,
  seconds: number,
  token?: string,
): Promise<Extract<ProfileReport, { kind: Kind }>> {
  const url = `${httpUrl}/v1/profile?kind=${kind}&seconds=${seconds}`;
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'POST',
      ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
      signal: AbortSignal.timeout(seconds * 1000 + LATE_MS),
    });
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`No Holdfast server answers at ${httpUrl}: ${why}`);
  }
  const body = (await response.json()) as { detail?: string };
  if (!response.ok) {
    throw new Error(`The server at ${httpUrl} took no profile: ${body.detail ?? `HTTP ${response.status}`}`);
  }
  return body as unknown as Extract<ProfileReport, { kind: Kind }>;
}
