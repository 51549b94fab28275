import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

/**
 * What a shop writes first: stock and holds in a Map each, JSON over `ws`, a timer for each hold. Nothing is kept beyond the process.
 * Prints one JSON line with its port when it listens; exits with 0 on SIGTERM or when its standard input ends.
 *
 *     {"op":"hold","id":1,"sku":"a","quantity":1,"ttlMs":600000}  →  {"ok":true,"id":1,"hold":7,"deadline":1795207507040}
 *     {"op":"holds","id":1,"holds":[{"sku":"a","quantity":1,"ttlMs":600000},…]}  →  {"id":1,"results":[{"ok":true,…},…]}
 *     {"op":"stock","id":1,"from":0,"skus":["a","b"],"units":100}  →  {"id":1,"ok":true}
 */
interface Order {
  sku: string;
  quantity: number;
  ttlMs: number;
}
type Message = { id: number } & (
  | ({ op: 'hold' } & Order)
  | { op: 'holds'; holds: Order[] }
  | { op: 'stock'; skus: string[]; units: number }
);

const stock = new Map<string, { available: number; held: number; total: number }>();
const holds = new Map<number, { sku: string; quantity: number; holder: string; deadline: number }>();
let nextHold = 1;

function hold(holder: string, { sku, quantity, ttlMs }: Order) {
  const entry = stock.get(sku);
  if (entry === undefined) return { ok: false, reason: 'UNKNOWN_SKU' };
  if (entry.available < quantity) return { ok: false, reason: 'SOLD_OUT' };
  entry.available -= quantity;
  entry.held += quantity;
  const id = nextHold++;
  const deadline = Date.now() + ttlMs;
  holds.set(id, { sku, quantity, holder, deadline });
  setTimeout(expire, ttlMs, id);
  return { ok: true, hold: id, deadline };
}

function expire(id: number): void {
  const ended = holds.get(id);
  const entry = ended && stock.get(ended.sku);
  if (ended === undefined || entry === undefined) return;
  holds.delete(id);
  entry.available += ended.quantity;
  entry.held -= ended.quantity;
}

function answer(holder: string, message: Message): object {
  const { id } = message;
  if (message.op === 'hold') return { id, ...hold(holder, message) };
  if (message.op === 'holds') return { id, results: message.holds.map((order) => hold(holder, order)) };
  for (const sku of message.skus) {
    stock.set(sku, { available: message.units, held: 0, total: message.units });
  }
  return { id, ok: true };
}

const server = createServer((request, response) => {
  if (request.url !== '/books') {
    response.writeHead(404).end();
    return;
  }
  const all = [...stock.values()];
  const sum = (of: (entry: (typeof all)[number]) => number) =>
    all.reduce((total, entry) => total + of(entry), 0);
  const books = {
    available: sum((entry) => entry.available),
    held: sum((entry) => entry.held),
    holds: holds.size,
    oversold: all.filter(({ available }) => available < 0).length,
  };
  response.end(JSON.stringify(books));
});

const sockets = new WebSocketServer({ server, maxPayload: 4 << 20 });
sockets.on('connection', (socket: WebSocket, request) => {
  const holder = new URL(request.url ?? '/', 'ws://127.0.0.1').searchParams.get('holder') ?? '';
  socket.on('message', (data) => {
    socket.send(JSON.stringify(answer(holder, JSON.parse(String(data)) as Message)));
  });
});

server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }));
});
const stop = () => process.exit(0);
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
process.stdin.on('end', stop).resume();
