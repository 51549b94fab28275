export type { TokenSource } from './bearer.ts';
export { type Client, connect, type HoldInfo, type HoldOptions, type SkuReading } from './client.ts';
export type { Hello } from './codec.ts';
export {
  type ClientCode,
  type ErrorCode,
  type ErrorDetails,
  HoldfastError,
  type RefusalCode,
} from './errors.ts';
export type { Deadline, Hold } from './hold.ts';
export type { State } from './link.ts';
export type { ConnectOptions, ReconnectOptions, WebSocketConstructor, WebSocketLike } from './options.ts';
export type { HoldReading, HoldStateText, StockLevels, StockOptions } from './requests.ts';
export type { StateListener } from './session.ts';
