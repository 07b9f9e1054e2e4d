with source as (

    select * from {{ source('lake', 'surface_quality') }}

),

renamed as (

    select
        -- identity
        underlying,

        -- slices
        expiries,
        fitted,
        aged,
        interpolated,
        ruled,
        without_smile,
        fitted_share,
        oldest_age_seconds,

        -- fit
        quotes,
        in_spread_share,
        rms_half_spreads,
        atm_error_bp,
        parity_residual,

        -- arbitrage
        butterfly_violations,
        calendar_violations,
        butterfly_slack,
        calendar_slack,

        -- verdict
        is_sound,
        reasons,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
