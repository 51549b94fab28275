import { CommanderError } from 'commander';
import { MissingPackageError } from '../base/optional-package.ts';
import { HoldfastError } from '../client/index.ts';
import { ServerExit } from '../runtime/exit-codes.ts';
import { SettingsError } from '../runtime/settings.ts';
import { StoreError } from '../storage/store.ts';

/** What the process ends with. EXIT_CODE_HELP says the same to users. */
export const ExitCode = {
  OK: 0,
  /** The server refused, or what was checked does not hold. */
  REFUSED: 1,
  /** The command line or the settings cannot be used. */
  USAGE: 2,
  /** No connection, or no answer in time. */
  NO_CONNECTION: 3,
  /** A bug in this program. */
  INTERNAL: ServerExit.HOPELESS,
  /** The store cannot be used, or failed while the server ran. */
  STORE: ServerExit.STORE,
} as const;
export type ExitCodeValue = (typeof ExitCode)[keyof typeof ExitCode];

export const EXIT_CODE_HELP = `
Exit codes:
  0   done
  1   the server refused, or a check failed
  2   the command line or a setting cannot be used
  3   no connection to the server, or no answer from it in time
  70  a bug in this program, or a worker that cannot be kept alive
  74  the store cannot be used, or failed while the server ran
  130, 143  ended at once by a second SIGINT or SIGTERM
`;

/** A failure with a message for the user. `code` is what a script may look at; it is a status name where there is one. */
export class CliError extends Error {
  readonly exitCode: ExitCodeValue;
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(exitCode: ExitCodeValue, code: string, message: string, details: Record<string, unknown> = {}) {
    super(message);
    this.exitCode = exitCode;
    this.code = code;
    this.details = details;
  }
}

/** Errors of the SDK that say nothing about what the server decided. */
const CONNECTION_CODES: readonly string[] = ['CLOSED', 'TIMEOUT', 'UNKNOWN_OUTCOME', 'ABORTED', 'PROTOCOL'];

/**
 * Writes what went wrong to stderr (with `json` as one line of JSON) and returns the exit code. A failure that is
 * nobody's mistake but ours comes with its stack.
 */
export function reportFailure(error: unknown, json: boolean): ExitCodeValue {
  if (error instanceof CommanderError) {
    // Asking for help or the version is no failure, and commander has written its message already.
    if (error.exitCode === 0) return ExitCode.OK;
    if (!json) return ExitCode.USAGE;
  }
  const failure = toFailure(error);
  if (json) {
    const { code, message, details } = failure;
    process.stderr.write(`${JSON.stringify({ error: { code, message, details } })}\n`);
  } else {
    process.stderr.write(`holdfast: ${failure.message}\n`);
    if (failure.exitCode === ExitCode.INTERNAL && error instanceof Error)
      process.stderr.write(`${error.stack}\n`);
  }
  return failure.exitCode;
}

function exitCodeOf({ code, details }: HoldfastError): ExitCodeValue {
  if (CONNECTION_CODES.includes(code)) return ExitCode.NO_CONNECTION;
  // What the SDK refuses to send is wrong on the command line.
  return code === 'MALFORMED' && details.sent === false ? ExitCode.USAGE : ExitCode.REFUSED;
}

function toFailure(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof CommanderError) {
    return new CliError(ExitCode.USAGE, 'USAGE', error.message.replace(/^error: /, ''));
  }
  if (error instanceof MissingPackageError) {
    return new CliError(ExitCode.USAGE, 'SETTINGS', error.message);
  }
  if (error instanceof SettingsError) {
    return new CliError(ExitCode.USAGE, 'SETTINGS', error.message, { problems: error.problems });
  }
  if (error instanceof HoldfastError) {
    return new CliError(exitCodeOf(error), error.code, error.message, { ...error.details });
  }
  if (error instanceof StoreError) {
    // That there is no store is a mistake in the address.
    return new CliError(error.code === 'ABSENT' ? ExitCode.USAGE : ExitCode.STORE, error.code, error.message);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new CliError(ExitCode.INTERNAL, 'INTERNAL', `this is a bug: ${message}`);
}
