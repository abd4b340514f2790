export const bars = [3, 1, 4, 1, 5];
