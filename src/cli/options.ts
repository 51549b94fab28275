import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { MAX_QUANTITY, MAX_TTL_MS } from '../../protocol/limits.ts';
import { parseDuration } from '../runtime/units.ts';

/** The holder that a server without authentication takes for whoever names none. */
export const ANONYMOUS = 'anonymous';
export const DEFAULT_URL = 'http://127.0.0.1:7070';
const LONGEST_TIMEOUT_MS = 3_600_000;

/** What every command that talks to a server is given. */
export interface ClientOptions {
  url: ServerUrl;
  timeout: number;
  json: boolean;
}

/** And those that act for a holder. */
export interface HolderOptions extends ClientOptions {
  holder: string;
}

/** The two addresses of one server, without a slash at the end, and what opens it. */
export interface ServerUrl {
  http: string;
  webSocket: string;
  /** Goes along with every request; undefined where the server wants none. */
  token?: string;
}

/** A command with --url, --timeout and --json. */
export function clientCommand(name: string, description: string): Command {
  return withServer(new Command(name).description(description))
    .addOption(
      new Option(
        '--timeout <duration>',
        'longest wait for an answer, such as 500ms or 10s; a bare number is ms',
      )
        .default(10_000, '10s')
        .argParser(durationFrom(1, LONGEST_TIMEOUT_MS)),
    )
    .addOption(jsonOption());
}

/** A command that also has --holder. */
export function holderCommand(name: string, description: string): Command {
  return clientCommand(name, description).addOption(
    new Option('--holder <name>', 'whom the hold belongs to, 1 to 64 bytes; a token says that by itself')
      .default(ANONYMOUS)
      .env('HOLDFAST_HOLDER')
      .conflicts('token'),
  );
}

/** A command with --url and --token. What is given as token goes along in `options.url`. */
export function withServer(command: Command): Command {
  return command
    .addOption(urlOption())
    .addOption(tokenOption())
    .hook('preAction', (_command, action) => {
      const { url, token } = action.opts<{ url: ServerUrl; token?: string }>();
      if (token === undefined) return;
      action.setOptionValueWithSource('url', { ...url, token }, action.getOptionValueSource('url'));
    });
}

export function tokenOption(): Option {
  return new Option(
    '--token <token>',
    'token that says who you are, for a server with authentication; the variable shows up in no list of processes (default: none)',
  )
    .env('HOLDFAST_TOKEN')
    .argParser(parseToken);
}

/** Checked for its form only, so that a slip in a shell script is told before anything is sent. */
function parseToken(text: string): string {
  if (/^[\w-]+(\.[\w-]+){2}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be a JWT: three parts of base64url with dots between them.');
}

function urlOption(): Option {
  // Commander parses what is given, never the default: so the default is in its final form.
  return new Option('--url <address>', 'HTTP address of the server')
    .default(parseServerUrl(DEFAULT_URL), DEFAULT_URL)
    .env('HOLDFAST_URL')
    .argParser(parseServerUrl);
}

export function jsonOption(): Option {
  return new Option('--json', 'print one line of JSON; errors are JSON too, on stderr').default(false, 'off');
}

export function holdIdArgument(): Argument {
  return new Argument('<id>', "the hold's id, as hold printed it").argParser(
    wholeFrom(1, Number.MAX_SAFE_INTEGER),
  );
}

export function quantityArgument(description: string): Argument {
  return new Argument('[quantity]', `${description} (1 to ${MAX_QUANTITY} units)`).argParser(
    wholeFrom(1, MAX_QUANTITY),
  );
}

export function ofOption(what: string): Option {
  return new Option(
    '--of <units>',
    `units that you believe are ${what}; makes it safe to repeat a command whose answer was lost`,
  ).argParser(wholeFrom(1, MAX_QUANTITY));
}

export function ttlOption(description: string): Option {
  return new Option(
    '--ttl <duration>',
    `${description}, such as 500ms, 30s or 10m, up to 1d; a bare number is ms`,
  )
    .default(30_000, '30s')
    .argParser(durationFrom(1, MAX_TTL_MS));
}

/** Takes http, https, ws and wss addresses; a path is dropped, because the server has only one place. */
export function parseServerUrl(text: string): ServerUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^(https?|wss?):$/.test(url.protocol) || url.hostname === '') {
    throw new InvalidArgumentError(`It must be an address such as ${DEFAULT_URL}.`);
  }
  const secure = url.protocol === 'https:' || url.protocol === 'wss:';
  return {
    http: `http${secure ? 's' : ''}://${url.host}`,
    webSocket: `ws${secure ? 's' : ''}://${url.host}/v1/ws`,
  };
}

/** A parser for whole numbers in these bounds. */
export function wholeFrom(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

/** A parser for durations in these bounds, in ms. */
export function durationFrom(min: number, max: number): (text: string) => number {
  return (text) => {
    const ms = parseDuration(text);
    if (ms === undefined || ms < min || ms > max) {
      throw new InvalidArgumentError(
        `It must be a duration from ${min} to ${max} ms, such as 500ms, 30s, 10m, 2h or 1d.`,
      );
    }
    return ms;
  };
}
