export const thank = () => "thanks from a lazy chunk of the remote";
