import { StoreError } from './store.ts';

/** What a call of the file system threw, as the store's error: no room is worth another try, anything else is final. */
export function fileError(error: unknown, doing: string): StoreError {
  if (error instanceof StoreError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return full
    ? new StoreError(
        'FULL',
        `${doing}: no room left on the disk (${code}). Free some; it goes on by itself.`,
        {
          cause: error,
        },
      )
    : new StoreError('FAILED', `${doing}: ${message}`, { cause: error });
}

/** Does it, with whatever the file system throws turned into a StoreError. */
export function attempt<T>(doing: string, what: () => T): T {
  try {
    return what();
  } catch (error) {
    throw fileError(error, doing);
  }
}

/** What to do about a journal that is not what was written. */
export const JOURNAL_REMEDY =
  'Restore the file from a copy, or take what lies before it with `holdfast recover --to`.';
