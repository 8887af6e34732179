export const VMX = /\.vmx$/i;
export const OVF = /\.ovf$/i;
export const VMSD = /\.vmsd$/i;
export const VBOX = /\.vbox$/i;
export const MANIFEST = /\.mf$/i;
export const VAGRANT = /^metadata\.json$/;

/** True for files that are read for the information in them. */
export const isDescription = (name: string): boolean =>
  [VMX, OVF, VMSD, VBOX, MANIFEST, VAGRANT].some((description) => description.test(name));
