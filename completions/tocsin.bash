# bash: read at the first <Tab>; the program knows its own options.
eval "$(tocsin completion bash)"
