/** When a change is acknowledged: applied in memory, written to the store, or synced there. The hello names the level in force. */
export const ACK_LEVELS = ['memory', 'journal', 'sync'] as const;
export type AckLevel = (typeof ACK_LEVELS)[number];
