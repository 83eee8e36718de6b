// SPDX-License-Identifier: Apache-2.0
// Tests of libcore/compute, and of its factory.
#define BOOST_TEST_MODULE compute
#include <boost/test/unit_test.hpp>

#include "libcore/base/error.hpp"
#include "libcore/compute/backend.hpp"

using namespace stillhouse;

BOOST_AUTO_TEST_CASE(the_factory_knows_its_devices)
{
    const auto code = [](const std::string& device) {
        try {
            compute::make_backend(device, compute::Precision::f32, 1);
        } catch (const Error& error) {
            return error.code();
        }
        return ErrorCode::internal;
    };
    BOOST_TEST((code("cuda") == ErrorCode::resource));
    BOOST_TEST((code("cuda:1") == ErrorCode::resource));
    BOOST_TEST((code("gpu") == ErrorCode::bad_argument));
    BOOST_TEST((code("cpu:sse") == ErrorCode::bad_argument));
    BOOST_CHECK_THROW(compute::make_backend("cpu", compute::Precision::f32, 0), Error);
    const auto backend = compute::make_backend("auto", compute::Precision::f32, 3);
    BOOST_TEST(backend->pool().threads() == 3);
    BOOST_TEST(backend->description().find("3 threads") != std::string::npos, backend->description());
    BOOST_TEST(backend->description().starts_with("cpu ("));
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_match_are_bugs)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f32, 1);
    Buffer<float> x(64);
    const Matrix<const float> a(x.data(), 4, 4);
    const Matrix<const float> b(x.data(), 4, 5);
    BOOST_CHECK_THROW(backend->single().linear(a, b, nullptr, Matrix<float>(x.data() + 32, 4, 4)), Error);
    BOOST_CHECK_THROW(backend->single().linear_decode(a, a, nullptr, Matrix<float>(x.data() + 32, 3, 4)), Error);
}
