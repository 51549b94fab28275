import { StoreError, type StoreErrorCode } from './store.ts';

/** First words of Redis' error answers that pass when Redis has loaded, failed over, or been given room. */
const CODES: Record<string, StoreErrorCode> = {
  CORRUPT: 'CORRUPT',
  FENCED: 'FENCED',
  OOM: 'FULL',
  MISCONF: 'FULL',
  ASK: 'AWAY',
  BUSY: 'AWAY',
  CLUSTERDOWN: 'AWAY',
  LOADING: 'AWAY',
  MASTERDOWN: 'AWAY',
  MOVED: 'AWAY',
  NOREPLICAS: 'AWAY',
  READONLY: 'AWAY',
  TRYAGAIN: 'AWAY',
  UNBLOCKED: 'AWAY',
};

/** What an error answer begins with; within a script, Redis before 7 puts words of its own before it. */
const FIRST_WORD = /^(?:ERR Error running script .*?: -)?([A-Z]+)/s;

/**
 * The StoreError for what ioredis rejected with. Whatever Redis did not answer itself is a connection that failed: AWAY. The error
 * becomes no cause of the new one, since it holds the command's arguments: at a login, the password.
 */
export function redisStoreError(error: unknown, label: string): StoreError {
  if (error instanceof StoreError) return error;
  // A cluster that cannot be reached tells of its nodes by the last of them.
  const { lastNodeError } = error as { lastNodeError?: unknown };
  if (lastNodeError instanceof Error) return redisStoreError(lastNodeError, label);
  const message = error instanceof Error ? error.message : String(error);
  if (!isAnswer(error)) {
    return new StoreError('AWAY', `${label} cannot be reached: ${message || 'no connection'}.`);
  }
  const word = firstWord(message);
  const code = CODES[word] ?? 'FAILED';
  const rest = message.slice(word.length + 1);
  if (code === 'FENCED') {
    return new StoreError(
      'FENCED',
      `Another server has taken ${label} over (epoch ${rest}). This one must end.`,
    );
  }
  if (code === 'CORRUPT') {
    return new StoreError(
      'CORRUPT',
      `In ${label}, ${rest}. Keys were removed or Redis came back with less than it had confirmed. Restore Redis from its own ` +
        'backup, or use another ?prefix= and load the stock anew.',
    );
  }
  return new StoreError(code, `${label} answers: ${message}`);
}

/** Whether Redis answered with an error that begins with this word. */
export function isAnswered(error: unknown, word: string): boolean {
  return isAnswer(error) && firstWord((error as Error).message) === word;
}

function isAnswer(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

function firstWord(message: string): string {
  return FIRST_WORD.exec(message)?.[1] ?? '';
}
