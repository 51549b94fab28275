import uWS from 'uWebSockets.js';

/**
 * A plain uWebSockets.js server that sends every message back: the ceiling that the wire figures are measured against.
 * Prints one JSON line with its port when it listens, and exits with 0 on SIGTERM or when its standard input ends.
 */
const app = uWS.App().ws('/*', {
  compression: uWS.DISABLED,
  maxPayloadLength: 1024 * 1024,
  maxBackpressure: 1024 * 1024,
  message(ws, message, isBinary) {
    ws.send(message, isBinary);
  },
});

app.listen('127.0.0.1', 0, (socket) => {
  if (!socket) {
    console.error('The echo server could not listen.');
    process.exit(1);
  }
  console.log(JSON.stringify({ port: uWS.us_socket_local_port(socket) }));
});

const stop = () => process.exit(0);
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
process.stdin.on('end', stop).resume();
