/** What the process of a server ends with when it cannot go on. */
export const ServerExit = {
  /** A worker cannot be kept alive. */
  HOPELESS: 70,
  /** The store cannot be used, or failed. */
  STORE: 74,
} as const;
