/** How a hive's bytes came about. */
export interface RecoveredHive {
  /** A hive whose last write is finished: as it was, or with what its logs add. */
  bytes: Buffer;
  /** Pages that the logs changed; null where the hive was clean, and its logs are of no account. */
  recovered: { log: 'dirty pages' | 'entries'; pages: number } | null;
}
