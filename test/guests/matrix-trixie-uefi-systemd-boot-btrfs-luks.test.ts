import { MATRIX_IN_TESTS } from '../../src/lab/matrix-recipes.js';
import { testMatrixGuest } from './matrix.js';

testMatrixGuest(MATRIX_IN_TESTS['trixie-uefi-systemd-boot-btrfs-luks']);
