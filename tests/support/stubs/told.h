/* A library that is none: each function tells Python what it was given, as its own C types have it, and returns the answer.

   The functions are defined under the names, and with the types, of NVIDIA's header: the compiler refuses what the header
   declares otherwise (conflicting types) or not at all (-Wmissing-prototypes). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  char kind; /* of the C type, see KIND */
  uint64_t value;
} argument;

typedef int (*answer)(const char *name, int locked, int count, const argument *arguments);

static answer asked;

void stub_answers(answer to);
void stub_answers(answer to) { asked = to; }

/* Whether the calling thread holds Python's lock, which the loader finds in the process that called. */
static int holds_lock(void) {
  int (*check)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "PyGILState_Check");
  return check == NULL ? -1 : check();
}

#define ARGUMENT(x) {KIND(x), (uint64_t)(x)}
#define TOLD(name, unasked, count, ...)                                             \
  do {                                                                              \
    const argument arguments[] = {__VA_ARGS__};                                     \
    return asked == NULL ? (unasked) : asked(name, holds_lock(), count, arguments); \
  } while (0)
#define DEFINE1(result, unasked, name, A, a)                  \
  result name(A a) { TOLD(#name, unasked, 1, ARGUMENT(a)); }
#define DEFINE2(result, unasked, name, A, a, B, b)            \
  result name(A a, B b) { TOLD(#name, unasked, 2, ARGUMENT(a), ARGUMENT(b)); }
#define DEFINE3(result, unasked, name, A, a, B, b, C, c)      \
  result name(A a, B b, C c) { TOLD(#name, unasked, 3, ARGUMENT(a), ARGUMENT(b), ARGUMENT(c)); }
#define DEFINE4(result, unasked, name, A, a, B, b, C, c, D, d) \
  result name(A a, B b, C c, D d) { TOLD(#name, unasked, 4, ARGUMENT(a), ARGUMENT(b), ARGUMENT(c), ARGUMENT(d)); }
