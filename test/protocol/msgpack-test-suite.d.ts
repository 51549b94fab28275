/** The suite is one JSON file: groups of values, each with all of its encodings in hexadecimal. */
declare module 'msgpack-test-suite' {
  const suite: Record<string, (Record<string, unknown> & { msgpack: string[] })[]>;
  export default suite;
}
