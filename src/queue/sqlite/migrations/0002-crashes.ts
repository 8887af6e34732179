/** `crashes`: how many times a daemon died while the job ran, since the last stage that it completed. */
export const crashes = `
ALTER TABLE jobs ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
`;
