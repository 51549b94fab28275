import { LOG_LEVELS, type LogLevel } from '../log/events.ts';
import { count, type Row, text } from './setting-kinds.ts';

/** What the server says of itself, and where to. */
export interface WatchSettings {
  logLevel: LogLevel | 'silent';
  logFormat: 'auto' | 'json' | 'pretty';
  /** Empty: spans go where an SDK takes them that was registered before, or nowhere. */
  otlpEndpoint: string;
  tracesPerSecond: number;
}

export const WATCH_ROWS: Readonly<Record<keyof WatchSettings, Row>> = {
  logLevel: {
    type: 'choice',
    unit: '',
    choices: [...LOG_LEVELS, 'silent'],
    help: 'the least important lines that are logged, on stderr',
    defaultText: 'info',
    defaultFor: () => 'info',
  },
  logFormat: {
    type: 'choice',
    unit: '',
    choices: ['auto', 'json', 'pretty'],
    help: 'lines of JSON, or for people; auto is for people where stderr is a terminal',
    defaultText: 'auto',
    defaultFor: () => 'auto',
  },
  otlpEndpoint: text('OpenTelemetry collector that gets spans of traced commands, by OTLP over HTTP', 'none'),
  tracesPerSecond: count(
    'commands',
    0,
    10_000,
    100,
    'commands that each front traces in a second at most, whatever clients ask for',
  ),
};
