import { MATRIX_IN_TESTS } from '../lab/matrix-recipes.ts';
import { testMatrixGuest } from './matrix.js';

testMatrixGuest(MATRIX_IN_TESTS['bookworm-bios-extlinux-lvm-md']);
