// .npy files: what is written is read, both byte orders, both element orders, and bad files.
#include "espalier/tools/npy.h"

#include "espalier/graph/proto_file.h"
#include "espalier/tests/testing.h"

namespace espalier {
namespace {

std::string Npy(const std::string& header, const std::string& values) {
  std::string bytes = "\x93NUMPY";
  bytes += '\1';
  bytes += '\0';
  bytes += static_cast<char>(header.size());
  bytes += '\0';
  return bytes + header + values;
}

TEST(NpyTest, WhatIsWrittenIsRead) {
  const std::string path = testing::TempDir() + "/t.npy";
  for (const Tensor& t :
       {Tensor::Of<float>({2, 3}, {1, 2, 3, 4, 5, 6}), Tensor(3.5), Tensor(true),
        Tensor::Of<int64_t>({0, 2}, {}), Tensor::Of<uint8_t>({3}, {0, 128, 255}),
        Tensor::Of<Eigen::half>({1}, {Eigen::half(0.5f)}), Tensor::Of<int16_t>({1, 1}, {-7})}) {
    ASSERT_TRUE(WriteNpy(t, path).ok());
    const auto read = ReadNpy(path);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, t);
  }
  EXPECT_EQ(WriteNpy(Tensor("text"), path).code(), absl::StatusCode::kUnimplemented);
}

// [[1, 2, 3], [4, 5, 6]] as int16, big-endian, column by column.
TEST(NpyTest, ReadsBigEndianAndFortranOrder) {
  std::string values;
  for (const char v : {1, 4, 2, 5, 3, 6}) values += std::string(1, '\0') + v;
  const auto t =
      ParseNpy(Npy("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n", values), "x");
  ASSERT_TRUE(t.ok()) << t.status();
  EXPECT_EQ(*t, Tensor::Of<int16_t>({2, 3}, {1, 2, 3, 4, 5, 6}));
}

TEST(NpyTest, ReadsScalarsAndWhatIsEmpty) {
  const auto scalar =
      ParseNpy(Npy("{'descr': '<i2', 'fortran_order': False, 'shape': (), }", "\7\1"), "x");
  ASSERT_TRUE(scalar.ok()) << scalar.status();
  EXPECT_EQ(*scalar, Tensor(int16_t{263}));
  const auto empty =
      ParseNpy(Npy("{'descr': '>f4', 'fortran_order': True, 'shape': (0, 3), }", ""), "x");
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ(*empty, Tensor::Of<float>({0, 3}, {}));
}

TEST(NpyTest, BadFilesAreErrorsThatSayWhatIsWrong) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
  struct Row {
    std::string bytes, message;
  };
  for (const Row& row : std::vector<Row>{
           {"", "does not start"},
           {"PK\3\4 an archive", "does not start"},
           {Npy(good, "1234"), "expected 8 bytes"},
           {Npy("{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }", ""), "'<c8'"},
           {Npy(good, "123456789"), "expected 8 bytes"},
           {"\x93NUMPY\x09" + Npy(good, "12345678").substr(7), "version 9"},
           {std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12) + good, "cut short"},
           {Npy("[1, 2]", ""), "no 'descr'"},
           {Npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", ""), "'|O'"},
           {Npy("{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }", ""), "'<U3'"},
           {Npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", ""),
            "[(\'a\'"},
           {Npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': (2,), }", ""),
            "__import__"},
           {Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,), }", ""),
            "shape"},
           {Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }", ""),
            "expected 4398046511104 bytes"},
           {Npy("{'descr': '<f4', 'shape': (2,), }", ""), "fortran_order"},
           {Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", ""), "-2"},
           {Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
                ""),
            "too many elements"}}) {
    const auto t = ParseNpy(row.bytes, "x.npy");
    ExpectError(t.status(), absl::StatusCode::kInvalidArgument, {"x.npy", row.message});
  }
  EXPECT_EQ(ReadNpy("/no/such.npy").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace espalier
