import type { Log } from '../log/events.ts';
import { createLogger, type Logger } from '../log/logger.ts';
import { type SpanExport, startExport } from '../trace/exporter.ts';
import { ServerExit } from './exit-codes.ts';
import type { Settings } from './setting-table.ts';

/**
 * The log of a process that is a server and nothing else, on stderr. What Node.js would write there goes into the log too: warnings, and the error
 * that ends the process.
 */
export function openLog(settings: Settings): Logger {
  const { logLevel: level, logFormat: format } = settings;
  const logger = createLogger({ level, format, secrets: secretsOf(settings) });
  // Node's own listener writes warnings as text between the lines.
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) =>
    logger.log({ event: 'node-warning', detail: `${name}: ${message}` }),
  );
  process.on('uncaughtException', (error) => {
    logger.log({
      event: 'crashed',
      detail: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    logger.flush();
    process.exit(ServerExit.HOPELESS);
  });
  return logger;
}

/** The way of spans to a collector, where the settings name one. Throws MissingPackageError. */
export async function exportOf({ otlpEndpoint }: Settings, log: Log): Promise<SpanExport | undefined> {
  if (otlpEndpoint === '') return undefined;
  return startExport(otlpEndpoint, (detail) => log({ event: 'traces-lost', detail }));
}

/** What the settings have that no line may: passwords in addresses, and keys in variables. */
export function secretsOf({ store, snapshots, otlpEndpoint, authKeys }: Settings): string[] {
  const passwords = [store, snapshots, otlpEndpoint].flatMap((address) => {
    const [, credentials = ''] = /:\/\/(.*)@/s.exec(address) ?? [];
    const password = credentials.slice(credentials.indexOf(':') + 1);
    return [password, unescaped(password)];
  });
  const keys = authKeys.map((source) =>
    source.startsWith('env:') ? (process.env[source.slice(4)] ?? '') : '',
  );
  return [...passwords, ...keys, ...keys.map((key) => key.trim())].filter((secret) => secret !== '');
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
