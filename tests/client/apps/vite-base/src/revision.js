export const revision = 0;
