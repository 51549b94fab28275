import { DiagLogLevel, diag, trace } from '@opentelemetry/api';
import { MissingPackageError, optionalPackage } from '../base/optional-package.ts';

/** Packages that only a server with `otlpEndpoint` needs, in versions that fit each other and the API. */
export const PACKAGES = {
  '@opentelemetry/sdk-trace-base': '2.12.1',
  '@opentelemetry/resources': '2.12.1',
  '@opentelemetry/exporter-trace-otlp-http': '0.223.1',
} as const;

/** Where a collector takes traces, below the address that OpenTelemetry calls the endpoint. */
const TRACES_PATH = '/v1/traces';
/** Unless OTEL_SERVICE_NAME says otherwise. */
const SERVICE = 'holdfast';
/** A collector that does not answer must not hold up the end of the server. */
const SHUTDOWN_MS = 2000;

/** Sends spans on their way; stop() sends what is left. */
export interface SpanExport {
  stop(): Promise<void>;
}

// Of the packages, what is used of them: they are not there when the server is type-checked for its users.
interface Provider {
  forceFlush(): Promise<void>;
  shutdown(): Promise<void>;
}
interface Sdk {
  BasicTracerProvider: new (options: { resource: unknown; spanProcessors: unknown[] }) => Provider;
  BatchSpanProcessor: new (exporter: unknown) => unknown;
}
interface Resource {
  merge(other: Resource): Resource;
}
interface Resources {
  envDetector: unknown;
  defaultResource(): Resource;
  detectResources(options: { detectors: unknown[] }): Resource;
  resourceFromAttributes(attributes: Record<string, string>): Resource;
}
interface Exporter {
  OTLPTraceExporter: new (options: { url: string }) => unknown;
}

/**
 * Registers an SDK that sends spans to a collector by OTLP over HTTP, as JSON. Headers and time-outs are those of the variables that OpenTelemetry
 * has for them (OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME, …). Throws MissingPackageError.
 *
 * @param endpoint such as http://127.0.0.1:4318
 * @param onTrouble told what the SDK complains of, such as a collector that does not answer
 */
export async function startExport(
  endpoint: string,
  onTrouble: (detail: string) => void,
): Promise<SpanExport> {
  const [sdk, resources, otlp] = (await Promise.all(
    Object.keys(PACKAGES).map((name) => optionalPackage(name)),
  )) as [Sdk | undefined, Resources | undefined, Exporter | undefined];
  const wanted = Object.entries(PACKAGES).map(([name, version]) => `${name}@${version}`);
  if (sdk === undefined || resources === undefined || otlp === undefined) {
    throw new MissingPackageError('otlpEndpoint', wanted, 'leave it out');
  }
  const complain = (message: string, ...more: unknown[]): void =>
    onTrouble([message, ...more].map(String).join(' '));
  const nothing = (): void => {};
  const logger = { error: complain, warn: complain, info: nothing, debug: nothing, verbose: nothing };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const exporter = new otlp.OTLPTraceExporter({ url: tracesUrl(endpoint) });
  const provider = new sdk.BasicTracerProvider({
    resource: resources
      .defaultResource()
      .merge(resources.resourceFromAttributes({ 'service.name': SERVICE }))
      .merge(resources.detectResources({ detectors: [resources.envDetector] })),
    spanProcessors: [new sdk.BatchSpanProcessor(exporter)],
  });
  trace.setGlobalTracerProvider(provider as unknown as Parameters<typeof trace.setGlobalTracerProvider>[0]);
  return {
    stop: async () => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          onTrouble(`the collector did not take the last of them within ${SHUTDOWN_MS} ms`);
          resolve();
        }, SHUTDOWN_MS);
      });
      await Promise.race([provider.shutdown().catch(complain), late]);
      clearTimeout(timer);
      trace.disable();
      diag.disable();
    },
  };
}

function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  if (!url.pathname.endsWith(TRACES_PATH)) url.pathname = `${url.pathname.replace(/\/+$/, '')}${TRACES_PATH}`;
  return url.href;
}
