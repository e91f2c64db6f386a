"""The project's C++ rules: one place for the include prefix and the compiler flags."""

# x86-64 code may use AVX2 and FMA (any x86 CPU since 2013); AVX-512 kernels are
# compiled apart and chosen at run time. Contraction is off so that a formula
# gives the same bits wherever the compiler puts it; kernels ask for it by name.
_COPTS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-parameter",
    "-Wno-missing-field-initializers",
    "-Wno-uninitialized",  # g++ 12 misreads absl::InlinedVector
    "-Wno-maybe-uninitialized",
    "-isystem/usr/include/eigen3",
    "-ffp-contract=off",
] + select({
    "@platforms//cpu:x86_64": ["-march=x86-64-v3", "-mtune=generic"],
    "//conditions:default": [],
})

def espalier_library(name, deps = [], copts = [], **kwargs):
    """A cc_library whose headers are included as "espalier/<folder>/<file>"."""
    native.cc_library(
        name = name,
        include_prefix = "espalier/" + native.package_name(),
        copts = _COPTS + copts,
        deps = deps,
        **kwargs
    )

def espalier_test(name, srcs = [], deps = [], size = "small", copts = [], **kwargs):
    """A GoogleTest test; its main function comes from gtest_main."""
    native.cc_test(
        name = name,
        srcs = srcs or [name + ".cc"],
        size = size,
        copts = _COPTS + copts,
        deps = deps + ["@system//:gtest_main"],
        linkstatic = True,
        **kwargs
    )

def espalier_binary(name, srcs = [], deps = [], copts = [], **kwargs):
    """A program."""
    native.cc_binary(
        name = name,
        srcs = srcs or [name + ".cc"],
        copts = _COPTS + copts,
        deps = deps,
        **kwargs
    )
