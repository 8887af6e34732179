/** The pipeline's stages in their strict order. */
export const STAGE_NAMES = ['fetch', 'flatten', 'inspect', 'plan', 'fix', 'convert', 'validate'] as const;
export type StageName = (typeof STAGE_NAMES)[number];
