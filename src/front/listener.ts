import uWS from 'uWebSockets.js';

/** Certificate chain and private key, in PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** When the certificate's time is over, ms since the epoch. */
  readonly untilMs: number;
}

/** An app of uWebSockets.js with the address that it listens on. */
export class Listener {
  readonly app: uWS.TemplatedApp;
  private socket: uWS.us_listen_socket | undefined;
  private dealtTo: readonly number[] = [];

  constructor(tls: TlsFiles | undefined) {
    this.app = tls ? uWS.SSLApp({ cert_file_name: tls.cert, key_file_name: tls.key }) : uWS.App();
  }

  /** Listens; resolves to the port. Rejects when the address cannot be had, also because another process has it. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const listening = (socket: uWS.us_listen_socket | false): void => {
        if (!socket) {
          reject(new AddressInUseError(host, port));
          return;
        }
        this.socket = socket;
        resolve(uWS.us_socket_local_port(socket));
      };
      // Without this option two processes share a port and take each other's clients, without a word. The types lack the
      // constant and know the option for listen(port, …) only; the native function takes it behind a host too.
      const { LIBUS_LISTEN_EXCLUSIVE_PORT } = uWS as unknown as { LIBUS_LISTEN_EXCLUSIVE_PORT: number };
      const listen = this.app.listen as unknown as (...args: unknown[]) => void;
      listen.call(this.app, host, port, LIBUS_LISTEN_EXCLUSIVE_PORT, listening);
    });
  }

  /** What the one that listens needs to know to hand sockets over to this one. */
  get descriptor(): number {
    return childrenOf(this.app).getDescriptor();
  }

  /**
   * Deals out the sockets that come from now on, in turn, to the apps of these descriptors, of this thread or others, in place of those
   * before. This one is among them only if it is named. They must live as long as this one listens.
   */
  dealTo(descriptors: readonly number[]): void {
    const app = childrenOf(this.app);
    const before = this.dealtTo;
    // In this order, so that there is always somebody to take a socket.
    for (const one of descriptors) if (!before.includes(one)) app.addChildAppDescriptor(one);
    for (const one of before) if (!descriptors.includes(one)) app.removeChildAppDescriptor(one);
    this.dealtTo = descriptors;
  }

  /** Takes no new connections from now on. */
  stop(): void {
    if (this.socket === undefined) return;
    uWS.us_listen_socket_close(this.socket);
    this.socket = undefined;
  }

  /** Drops every connection. */
  destroy(): void {
    this.stop();
    this.app.close();
  }
}

/** Handing sockets over between threads is left out of the types of uWebSockets.js. */
interface Children {
  getDescriptor(): number;
  addChildAppDescriptor(descriptor: number): void;
  removeChildAppDescriptor(descriptor: number): void;
}

function childrenOf(app: uWS.TemplatedApp): Children {
  return app as unknown as Children;
}

export class AddressInUseError extends Error {
  override readonly name = 'AddressInUseError';
  readonly code = 'EADDRINUSE';
  readonly host: string;
  readonly port: number;

  constructor(host: string, port: number) {
    super(`${host}:${port} cannot be listened on: another program has it, or it is not this machine's.`);
    this.host = host;
    this.port = port;
  }
}
