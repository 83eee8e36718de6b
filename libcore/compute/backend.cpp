// SPDX-License-Identifier: Apache-2.0
// The factory, and the CPU backend that gathers the operations of cpu/.
#include "libcore/compute/backend.hpp"

#include "libcore/base/error.hpp"
#include "libcore/compute/cpu/kernels.hpp"
#include "libcore/compute/cpu/operations.hpp"
#include "libcore/compute/pair_attention.hpp"
#include "libcore/compute/vector.hpp"

#include <fftw3.h>

namespace stillhouse::compute {

namespace {

template <class T>
class CpuOperations final : public Operations<T> {
public:
    CpuOperations(ThreadPool& pool, cpu::Operands operands) : pool_(pool), operands_(operands) {}

    ThreadPool& pool() override { return pool_; }
    cpu::Operands operands() const { return operands_; }

    void gemm(T alpha, Matrix<const T> a, Transpose op_a, Matrix<const T> b, Transpose op_b, T beta,
              Matrix<T> c) override
    {
        cpu::gemm(pool_, operands_, alpha, a, op_a, b, op_b, beta, c);
    }
    void linear(Matrix<const T> x, Matrix<const T> w, const T* bias, Matrix<T> y) override
    {
        cpu::linear(pool_, operands_, x, w, bias, y);
    }
    void linear_decode(Matrix<const T> x, Matrix<const T> w, const T* bias, Matrix<T> y) override
    {
        cpu::linear_decode(pool_, operands_, x, w, bias, y);
    }
    PackedMatrix pack(Matrix<const T> w, WeightFormat format) override
    {
        if constexpr (std::is_same_v<T, float>) {
            return cpu::pack(pool_, w, format);
        } else {
            throw_error(ErrorCode::unsupported, "weights are packed for products in f32, bf16 or int8, not in double");
        }
    }
    void linear_packed(std::span<const PackedLinear<T>> maps) override
    {
        if constexpr (std::is_same_v<T, float>) {
            cpu::linear_packed(pool_, maps);
        } else {
            STILLHOUSE_CHECK(maps.empty());   // none was ever packed
        }
    }
    using Operations<T>::linear_packed;
    void convolve(Matrix<const T> u, Matrix<const T> h, const Index* filter_of, Matrix<T> y) override
    {
        cpu::convolve(pool_, u, h, filter_of, y);
    }
    void convolve_adjoint(Matrix<const T> dy, Matrix<const T> h, const Index* filter_of, Matrix<T> du) override
    {
        cpu::convolve_adjoint(pool_, dy, h, filter_of, du);
    }
    void correlate(Matrix<const T> dy, Matrix<const T> u, const Index* filter_of, Matrix<T> dh) override
    {
        cpu::correlate(pool_, dy, u, filter_of, dh);
    }
    void convolve_tokens(Sequences<const T> u, Matrix<const T> h, const Index* filter_of, Sequences<T> y) override
    {
        cpu::convolve_tokens(pool_, u, h, filter_of, y);
    }
    void convolve_tokens_backward(Sequences<const T> dy, Sequences<const T> u, Matrix<const T> h,
                                  const Index* filter_of, Sequences<T> du, Matrix<T> dh) override
    {
        cpu::convolve_tokens_backward(pool_, dy, u, h, filter_of, du, dh);
    }
    void layer_norm(Matrix<const T> x, const T* weight, const T* bias, T eps, Matrix<T> y, T* statistics) override
    {
        cpu::layer_norm(pool_, x, weight, bias, eps, y, statistics);
    }
    void layer_norm_backward(Matrix<const T> x, const T* weight, const T* statistics, Matrix<const T> dy,
                             Matrix<T> dx, T* dweight, T* dbias) override
    {
        cpu::layer_norm_backward(pool_, x, weight, statistics, dy, dx, dweight, dbias);
    }
    void rms_norm(Matrix<const T> x, const T* weight, T eps, Matrix<T> y, T* statistics) override
    {
        cpu::rms_norm(pool_, x, weight, eps, y, statistics);
    }
    void rms_norm_backward(Matrix<const T> x, const T* weight, const T* statistics, Matrix<const T> dy, Matrix<T> dx,
                           T* dweight) override
    {
        cpu::rms_norm_backward(pool_, x, weight, statistics, dy, dx, dweight);
    }
    void activate(Activation f, const T* x, Index n, T* y) override { cpu::activate(pool_, f, x, n, y); }
    void activate_backward(Activation f, const T* x, const T* dy, Index n, T* dx) override
    {
        cpu::activate_backward(pool_, f, x, dy, n, dx);
    }
    void softmax(Matrix<const T> x, T scale, Index first, Matrix<T> y) override
    {
        cpu::softmax(pool_, x, scale, first, y);
    }
    void log_sum_exp(Matrix<const T> x, double* result) override { cpu::log_sum_exp(pool_, x, result); }

private:
    ThreadPool& pool_;
    cpu::Operands operands_;
};

class CpuBackend final : public Backend {
public:
    CpuBackend(Precision precision, int threads)
        : pool_(threads),
          single_(pool_, precision == Precision::bf16 ? cpu::Operands::bf16 : cpu::Operands::as_they_are),
          real_(pool_, cpu::Operands::as_they_are)
    {
    }

    std::string description() const override
    {
        const std::string fftw(fftwf_version);   // "fftw-3.3.10-sse2-avx"
        const auto begin = fftw.find('-') + 1;
        const int threads = pool_.threads();
        const char* pairs = cpu::level().pairs != nullptr ? "+bf16" : "";
        return "cpu (" + std::string(vector_level()) + pairs + ", FFTW " +
               fftw.substr(begin, fftw.find('-', begin) - begin) + ", " + std::to_string(threads) +
               (threads == 1 ? " thread)" : " threads)");
    }
    ThreadPool& pool() override { return pool_; }
    Operations<float>& single() override { return single_; }
    Operations<double>& real() override { return real_; }

private:
    ThreadPool pool_;
    CpuOperations<float> single_;
    CpuOperations<double> real_;
};

}  // namespace

namespace cpu {
#if defined(__x86_64__)
extern const PairAttention pair_attention_avx512;
#endif
}  // namespace cpu

const PairAttention* pair_attention([[maybe_unused]] const Operations<float>& ops)
{
#if defined(__x86_64__)
    const auto* const own = dynamic_cast<const CpuOperations<float>*>(&ops);      // null: another backend's
    const bool rounds = own != nullptr && own->operands() == cpu::Operands::bf16;
    return rounds && cpu::level().pairs != nullptr ? &cpu::pair_attention_avx512 : nullptr;
#else
    return nullptr;
#endif
}

void choose_device(const std::string& device)
{
    if (device == "auto" || device == "cpu") {
        return;
    }
    if (device == "cpu:plain" || device == "cpu:avx2" || device == "cpu:avx512") {
        if (!cpu::choose_level(std::string_view(device).substr(4))) {
            throw_error(ErrorCode::resource, "--device " + device + ": this processor has no such instructions; take "
                                                 "cpu or cpu:plain");
        }
        return;
    }
    if (device == "cuda" || device.starts_with("cuda:")) {
        throw_error(ErrorCode::resource,
                    "--device " + device + ": this build of stillhouse has no CUDA backend; take cpu or auto");
    }
    throw_error(ErrorCode::bad_argument, "device '" + device + "' is not known; expected auto, cpu, cpu:plain, "
                                             "cpu:avx2, cpu:avx512, cuda or cuda:N");
}

std::unique_ptr<Backend> make_backend(const std::string& device, Precision precision, int threads)
{
    choose_device(device);
    return std::make_unique<CpuBackend>(precision, threads);
}

}  // namespace stillhouse::compute
