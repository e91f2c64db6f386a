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

def espalier_proto(name, imports = []):
    """The C++ library <name>_proto of <name>.proto, included as "espalier/proto/<name>.pb.h"."""
    sources = [name + ".proto"] + [i + ".proto" for i in imports]
    native.genrule(
        name = name + "_proto_sources",
        srcs = sources,
        outs = [name + ".pb.h", name + ".pb.cc"],
        # The include path in the generated .cc follows the path given to protoc.
        cmd = ("mkdir -p $(@D)/{n}/espalier/proto && cp $(SRCS) $(@D)/{n}/espalier/proto/ && " +
               "protoc -I$(@D)/{n} --cpp_out=$(@D)/{n} espalier/proto/{n}.proto && " +
               "mv $(@D)/{n}/espalier/proto/{n}.pb.* $(@D)/ && rm -rf $(@D)/{n}").format(n = name),
    )
    espalier_library(
        name = name + "_proto",
        srcs = [name + ".pb.cc"],
        hdrs = [name + ".pb.h"],
        copts = ["-Wno-error"],
        deps = [":" + i + "_proto" for i in imports] + ["@system//:protobuf"],
    )
