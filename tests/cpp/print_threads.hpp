// What each thread is doing, to stderr: for a program that ends because one of them hangs.
// Frames come as program(+offset), for addr2line -Cfpe program offset. From any thread, once.
#pragma once

void print_threads();
